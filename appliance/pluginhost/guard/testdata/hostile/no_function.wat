;; Calls a function that does not exist.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (call 7) (i32.const 0)))
