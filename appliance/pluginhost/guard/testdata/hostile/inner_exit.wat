;; Two loops; the inner one, which is unrolled, is always left by a branch to the outer.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (local $i i64)
  (loop $outer
   (loop $inner
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br_if $inner (i64.eqz (i64.and (local.get $i) (i64.const 3))))
    (br $outer)))
  (i32.const 0)))
