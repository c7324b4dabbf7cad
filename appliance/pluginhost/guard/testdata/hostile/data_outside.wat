;; A data segment that ends outside of the memory.
(module (memory (export "memory") 1) (data (i32.const 65530) "0123456789")
 (func (export "run") (param i64) (result i32) (i32.const 0)))
