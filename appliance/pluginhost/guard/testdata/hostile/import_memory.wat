;; Imports a memory.
(module (import "vitrine" "memory" (memory 1))
 (func (export "run") (param i64) (result i32) (i32.const 0)))
