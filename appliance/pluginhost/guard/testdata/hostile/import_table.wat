;; Imports a table.
(module (import "vitrine" "table" (table 1 funcref)) (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
