;; Asks for a table of a hundred million entries.
(module (memory (export "memory") 1) (table 100000000 funcref)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
