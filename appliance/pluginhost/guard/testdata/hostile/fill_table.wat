;; Fills, copies and initialises a table without end.
(module (memory (export "memory") 1) (table 60000 funcref) (elem $e func $f) (func $f)
 (func (export "run") (param i64) (result i32) (loop $l (table.fill 0 (i32.const 0) (ref.null func) (i32.const 60000)) (table.copy (i32.const 0) (i32.const 1) (i32.const 59999)) (table.init $e (i32.const 5) (i32.const 0) (i32.const 1)) (br $l)) (i32.const 0)))
