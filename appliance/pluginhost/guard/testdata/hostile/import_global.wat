;; Imports a global.
(module (import "vitrine" "fuel" (global (mut i64))) (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
