;; A loop without end.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (loop $l (br $l)) (i32.const 0)))
