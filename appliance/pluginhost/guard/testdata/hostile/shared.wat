;; A shared memory.
(module (memory (export "memory") 1 1 shared)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
