;; Asks for two tables that are too large together.
(module (memory (export "memory") 1) (table 40000 funcref) (table 40000 funcref)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
