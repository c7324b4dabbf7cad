;; Grows a table by one entry without end.
(module (memory (export "memory") 1) (table 1 funcref)
 (func (export "run") (param i64) (result i32) (loop $l (drop (table.grow 0 (ref.null func) (i32.const 1))) (br $l)) (i32.const 0)))
