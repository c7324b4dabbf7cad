;; Imports what nobody offers.
(module (import "env" "system" (func (param i32))) (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
