// The same scorer in AssemblyScript.
const W: StaticArray<f32> = new StaticArray<f32>(64);
let top: u32 = 0;
export function guest_alloc(sz: u32): u32 {
  if (top == 0) top = <u32>__heap_base;
  const p = (top + 63) & ~63;
  const end = p + sz;
  const have = <u32>memory.size() << 16;
  if (end > have && memory.grow((end - have + 65535) >> 16) < 0) return 0;
  top = end;
  return p;
}
export function guest_configure(p: u32, n: u32): i32 {
  for (let i = 0; i < 64; i++) unchecked((W[i] = <f32>0.01 * <f32>(i + 1)));
  return 0;
}
export function guest_noop(p: u32): i32 { return <i32>p; }
export function guest_score(b: u32): i32 {
  const n = load<u32>(b), f = load<u32>(b, 4), idx = load<u32>(b, 8), s = load<u32>(b, 12), c = load<u32>(b, 16);
  for (let k: u32 = 0; k < f; k++) {
    const wk = unchecked(W[k & 63]);
    const ck = c + ((k * n) << 2);
    for (let i: u32 = 0; i < n; i++) {
      const o = i << 2;
      store<f32>(s + o, load<f32>(s + o) + wk * load<f32>(ck + o));
    }
  }
  const c3 = c + ((3 * n) << 2);
  for (let i: u32 = 0; i < n; i++) {
    const o = i << 2;
    let v = load<f32>(s + o);
    if (load<f32>(c3 + o) > 0.5) v *= 1.2;
    if (load<u32>(idx + o) % 97 == 0) v += 0.1;
    store<f32>(s + o, v);
  }
  return 0;
}
