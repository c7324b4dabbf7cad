;; Makes references to a function, which the engine does outside of machine code.
(module (memory (export "memory") 1) (table 2 funcref) (elem declare func $f) (func $f)
 (func (export "run") (param i64) (result i32) (loop $l (table.set 0 (i32.const 1) (ref.func $f)) (br $l)) (i32.const 0)))
