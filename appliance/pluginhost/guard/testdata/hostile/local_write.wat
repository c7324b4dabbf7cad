;; Writes the local after its last: the fuel in the function.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (loop $l (local.set 1 (i64.const 1000000000)) (br $l)) (i32.const 0)))
