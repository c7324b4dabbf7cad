;; Loads far beyond the memory.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (i32.load offset=4294967290 (i32.const -1))))
