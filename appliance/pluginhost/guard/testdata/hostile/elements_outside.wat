;; An element segment that ends outside of the table.
(module (memory (export "memory") 1) (table 1 funcref) (elem (i32.const 1) $f) (func $f)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
