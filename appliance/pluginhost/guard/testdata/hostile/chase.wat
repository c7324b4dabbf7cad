;; Loads that miss every cache.
(module (memory (export "memory") 256)
 (func (export "run") (param i64) (result i32) (local $x i32)
  (loop $l (local.set $x (i32.and (i32.const 0xfffff8) (i32.add (i32.load (local.get $x)) (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223))))) (br $l))
  (i32.const 0)))
