;; Grows the memory until it cannot, and then goes on asking.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (loop $l (drop (memory.grow (i32.const 1))) (br $l)) (i32.const 0)))
