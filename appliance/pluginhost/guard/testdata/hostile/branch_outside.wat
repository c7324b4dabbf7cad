;; Branches out of the function.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (br 1) (i32.const 0)))
