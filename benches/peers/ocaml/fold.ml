(* The number that says what lives at the end, the same in every language: [h = rotl ((h xor x) * K, 23)]. It is made after the
   measured part. *)

type t = { mutable hash : int64 }

let make () = { hash = 0L }

let add64 fold x =
  let h = Int64.mul (Int64.logxor fold.hash x) 0x9e37_79b9_7f4a_7c15L in
  fold.hash <- Int64.logor (Int64.shift_left h 23) (Int64.shift_right_logical h 41)

let add fold x = add64 fold (Int64.of_int x)
