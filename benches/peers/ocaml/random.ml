(* SplitMix64, the same numbers as those of the lab.

   The state lies in a buffer of eight bytes, and every function is inlined or gives an [int]: so the compiler keeps each
   64-bit number in a register and allocates nothing. *)

type t = bytes

external get : bytes -> int -> int64 = "%caml_bytes_get64"
external set : bytes -> int -> int64 -> unit = "%caml_bytes_set64"

let[@inline always] xor_shifted x by = Int64.logxor x (Int64.shift_right_logical x by)

let[@inline always] mix x =
  let x = Int64.add x 0x9e37_79b9_7f4a_7c15L in
  let x = Int64.mul (xor_shifted x 30) 0xbf58_476d_1ce4_e5b9L in
  let x = Int64.mul (xor_shifted x 27) 0x94d0_49bb_1331_11ebL in
  xor_shifted x 31

let make ~seed ~stream : t =
  let state = Bytes.create 8 in
  set state 0 (mix (Int64.logxor (mix seed) stream));
  state

(* Any number. *)
let[@inline always] any (state : t) =
  let x = Int64.add (get state 0) 0x9e37_79b9_7f4a_7c15L in
  set state 0 x;
  mix x

(* Its low 63 bits: all that an [int] has room for. *)
let bits state = Int64.to_int (any state)

(* A number below [n], which is at most 2^32: the upper half of the 128 bits of [any * n], for which 64 are enough then. *)
let below state n =
  let x = any state and n = Int64.of_int n in
  let upper = Int64.mul (Int64.shift_right_logical x 32) n
  and lower = Int64.mul (Int64.logand x 0xffff_ffffL) n in
  Int64.to_int (Int64.shift_right_logical (Int64.add upper (Int64.shift_right_logical lower 32)) 32)
