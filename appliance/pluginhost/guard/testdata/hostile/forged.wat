;; Exports a counter of its own under the name of the fuel.
(module (memory (export "memory") 1) (global $g (export "__vitrine_fuel") (mut i64) (i64.const 99))
 (func (export "run") (param i64) (result i32) (loop $l (global.set $g (i64.const 1000000000)) (br $l)) (i32.const 0)))
