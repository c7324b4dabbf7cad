;; The start function never ends.
(module (memory (export "memory") 1)
 (func $s (loop $l (br $l)))
 (start $s)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
