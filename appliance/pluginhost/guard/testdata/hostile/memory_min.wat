;; Asks for 4 GiB.
(module (memory (export "memory") 65536)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
