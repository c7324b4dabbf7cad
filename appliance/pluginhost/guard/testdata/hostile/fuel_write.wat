;; Writes the global after its last: the fuel.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (loop $l (global.set 0 (i64.const 1000000000)) (br $l)) (i32.const 0)))
