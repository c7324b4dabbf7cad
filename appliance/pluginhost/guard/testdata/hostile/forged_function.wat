;; Exports a function under a reserved name.
(module (memory (export "memory") 1)
 (func (export "__vitrine_x") (param i64) (result i32) (i32.const 0)))
