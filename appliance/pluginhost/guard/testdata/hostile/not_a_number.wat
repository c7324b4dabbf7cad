;; Returns the bits of a NaN: for the host to see.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (f32.store (i32.const 0) (f32.div (f32.const 0) (f32.const 0))) (i32.load (i32.const 0))))
