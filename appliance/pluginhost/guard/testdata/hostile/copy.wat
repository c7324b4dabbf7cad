;; Copies 8 MiB back and forth.
(module (memory (export "memory") 256)
 (func (export "run") (param i64) (result i32) (loop $l (memory.copy (i32.const 0) (i32.const 8388608) (i32.const 8388608)) (br $l)) (i32.const 0)))
