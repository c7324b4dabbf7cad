;; Throws.
(module (memory (export "memory") 1) (tag $t)
 (func (export "run") (param i64) (result i32) (throw $t)))
