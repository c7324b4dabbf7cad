;; A relaxed vector instruction.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (drop (i8x16.relaxed_swizzle (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0))) (i32.const 0)))
