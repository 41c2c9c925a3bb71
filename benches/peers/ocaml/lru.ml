(* A cache of the entries used last: a hash table with chains, and a list from the newest entry to the oldest. *)

(* [key] is what the lab's key is a product of: that has 64 bits, one more than an [int]. See [word]. *)
type entry =
  | Nil
  | Entry of {
      mutable chain : entry;
      mutable newer : entry;
      mutable older : entry;
      value : bytes;
      key : int;
    }

type cache = { mutable newest : entry; mutable oldest : entry; table : entry array }

(* Keys in a request. *)
let keys = 16

(* Bytes in a value. *)
let value_bytes = 256

(* Keys there are, for each entry of the cache. *)
let universe = 4

(* The key as the lab knows it: neighbours are nowhere near each other. *)
let[@inline always] word key = Int64.mul (Int64.of_int key) 0x9e37_79b9_7f4a_7c15L

let bucket cache key =
  Int64.to_int (Int64.shift_right_logical (word key) 32) land (Array.length cache.table - 1)

let rec find entry key =
  match entry with Entry e when e.key <> key -> find e.chain key | found -> found

let new_value key =
  let value = Bytes.create value_bytes in
  for i = 0 to (value_bytes / 8) - 1 do
    Bytes.set_int64_le value (8 * i) (word key)
  done;
  value

let has_value value key =
  let rec same i = i = value_bytes || (Bytes.get_int64_le value i = word key && same (i + 8)) in
  Bytes.length value = value_bytes && same 0

let link_newest cache entry =
  (match entry with
  | Entry e ->
      e.newer <- Nil;
      e.older <- cache.newest
  | Nil -> ());
  (match cache.newest with Entry e -> e.newer <- entry | Nil -> cache.oldest <- entry);
  cache.newest <- entry

let unlink cache newer older =
  (match newer with Entry e -> e.older <- older | Nil -> cache.newest <- older);
  match older with Entry e -> e.newer <- newer | Nil -> cache.oldest <- newer

(* Puts in a key that is not there. *)
let put cache key =
  let bucket = bucket cache key in
  let entry =
    Entry { chain = cache.table.(bucket); newer = Nil; older = Nil; value = new_value key; key }
  in
  cache.table.(bucket) <- entry;
  link_newest cache entry

let rec unchain before oldest =
  match before with
  | Entry ({ chain = Entry { chain; _ } as entry; _ } as e) ->
      if entry == oldest then e.chain <- chain else unchain entry oldest
  | _ -> Bench.damaged "an entry is not in its chain"

let drop_oldest cache =
  match cache.oldest with
  | Nil -> ()
  | Entry { chain; newer; older; key; _ } as oldest ->
      unlink cache newer older;
      let bucket = bucket cache key in
      let first = cache.table.(bucket) in
      if first == oldest then cache.table.(bucket) <- chain else unchain first oldest

let get cache key =
  match find cache.table.(bucket cache key) key with
  | Entry { newer; older; value; _ } as entry ->
      if not (has_value value key) then Bench.damaged "key %d was answered with another's value" key;
      unlink cache newer older;
      link_newest cache entry
  | Nil ->
      put cache key;
      drop_oldest cache

(* Zipf's distribution over ranks from 0, after Gray and others (SIGMOD 1994), as YCSB draws from it. *)
module Zipf = struct
  type t = { ranks : float; zeta : float; eta : float }

  let exponent = 0.99

  let make ranks =
    let zeta n =
      let sum = ref 0. in
      for i = 1 to n do
        sum := !sum +. (float i ** -.exponent)
      done;
      !sum
    in
    let all = zeta ranks in
    let eta = (1. -. ((2. /. float ranks) ** (1. -. exponent))) /. (1. -. (zeta 2 /. all)) in
    { ranks = float ranks; zeta = all; eta }

  let rank zipf random =
    let uniform =
      Int64.to_float (Int64.shift_right_logical (Random.any random) 11) /. 9_007_199_254_740_992.
    in
    let scaled = uniform *. zipf.zeta in
    if scaled < 1. then 0
    else if scaled < 1. +. (0.5 ** exponent) then 1
    else
      let rank = zipf.ranks *. (((zipf.eta *. uniform) -. zipf.eta +. 1.) ** (1. /. (1. -. exponent))) in
      min (int_of_float rank) (int_of_float zipf.ranks - 1)
end

let rec power_of_two n = if n <= 1 then 1 else 2 * power_of_two ((n + 1) / 2)

let run () =
  let size = Bench.parameter "size" and requests = Bench.parameter "requests" in
  let cache = { newest = Nil; oldest = Nil; table = Array.make (power_of_two size) Nil } in
  let zipf = Zipf.make (size * universe) in
  let random = Bench.random () in
  for rank = 0 to size - 1 do
    put cache (rank + 1)
  done;
  Bench.start requests;
  for _ = 1 to requests do
    for _ = 1 to keys do
      get cache (Zipf.rank zipf random + 1)
    done;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () in
  let rec check entry expected_newer count =
    match entry with
    | Nil ->
        if cache.oldest != expected_newer || count <> size then
          Bench.damaged "the list has %d entries, not %d" count size
    | Entry { newer; older; value; key; _ } ->
        if
          newer != expected_newer
          || find cache.table.(bucket cache key) key != entry
          || not (has_value value key)
        then Bench.damaged "the entry of key %d is damaged" key;
        Fold.add64 result (word key);
        Fold.add64 result (Bytes.get_int64_le value 0);
        check older entry (count + 1)
  in
  check cache.newest Nil 0;
  result.hash
