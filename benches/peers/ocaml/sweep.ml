(* Allocation at a given rate, against a given occupancy, whether or not the last request is done. *)

(* A value has 64 bits, one more than an [int]: two halves. *)
type item = { body : bytes; upper : int; lower : int }

(* References in an array, bytes in an item's body and with all that belongs to it, items in a request. *)
let group = 512
let body = 240
let item_bytes = 288
let request_items = (64 lsl 10) / item_bytes

let[@inline always] upper value = Int64.to_int (Int64.shift_right_logical value 32)
let[@inline always] lower value = Int64.to_int (Int64.logand value 0xffff_ffffL)
let whole upper lower = Int64.add (Int64.shift_left (Int64.of_int upper) 32) (Int64.of_int lower)

let item upper lower = { body = Bytes.make body (Char.unsafe_chr (lower land 255)); upper; lower }

(* Two sums of halves, which wrap as that of the whole does when it is made of them. *)
type sum = { mutable uppers : int; mutable lowers : int }

let total sum = whole sum.uppers sum.lowers

let wait_until_due due =
  let ahead = due - Bench.elapsed () in
  if ahead > 0 then Unix.sleepf (float ahead /. 1e9)

let run () =
  let size = Bench.parameter "size" and shuffle = Bench.parameter "shuffle" in
  let rate = float (Bench.parameter "rate") *. 1048576. in
  let store =
    Array.init ((size + group - 1) / group) (fun first ->
        let first = first * group in
        Array.init (min group (size - first)) (fun slot -> item 0 (first + slot)))
  in
  let sum = { uppers = 0; lowers = size * (size - 1) / 2 } in
  let random = Bench.random () in
  let between = float (request_items * item_bytes) /. rate *. 1e9 in
  let requests = int_of_float (ceil (float (Bench.parameter "seconds") *. 1e9 /. between)) in
  let replace () =
    let value = Random.any random in
    let upper = upper value and lower = lower value in
    let item = item upper lower in
    let place = Random.below random size in
    let items = store.(place / group) in
    let old = items.(place mod group) in
    sum.uppers <- sum.uppers + upper - old.upper;
    sum.lowers <- sum.lowers + lower - old.lower;
    items.(place mod group) <- item;
    if Random.below random shuffle = 0 then (
      let a = Random.below random size in
      let b = Random.below random size in
      let items_a = store.(a / group) and items_b = store.(b / group) in
      let item_a = items_a.(a mod group) in
      items_a.(a mod group) <- items_b.(b mod group);
      items_b.(b mod group) <- item_a)
  in
  Bench.start requests;
  for request = 0 to requests - 1 do
    wait_until_due (int_of_float (float request *. between));
    for _ = 1 to request_items do
      replace ()
    done;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () and found = { uppers = 0; lowers = 0 } in
  Array.iter
    (Array.iter (fun { body = bytes; upper; lower } ->
         if bytes <> Bytes.make body (Char.unsafe_chr (lower land 255)) then
           Bench.damaged "the object of value %Lu is damaged" (whole upper lower);
         found.uppers <- found.uppers + upper;
         found.lowers <- found.lowers + lower;
         Fold.add64 result (whole upper lower);
         Fold.add result (Char.code (Bytes.get bytes 0))))
    store;
  if total found <> total sum then
    Bench.damaged "the objects add up to %Lu, not %Lu" (total found) (total sum);
  result.hash
