;; Copies a data segment without end.
(module (memory (export "memory") 1) (data $d "0123456789abcdef")
 (func (export "run") (param i64) (result i32) (loop $l (memory.init $d (i32.const 0) (i32.const 0) (i32.const 16)) (br $l)) (i32.const 0)))
