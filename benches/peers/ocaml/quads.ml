(* A big quad tree lives, small ones die; shape and parameters are Whippet's. *)

(* Mutable, or all leaves would be one constant. *)
type quad =
  | Empty
  | Quad of { mutable a : quad; mutable b : quad; mutable c : quad; mutable d : quad }

let small = 3
let rounds = 20
let nodes depth = ((4 lsl (2 * depth)) - 1) / 3

let rec build depth =
  if depth = 0 then Quad { a = Empty; b = Empty; c = Empty; d = Empty }
  else
    let a = build (depth - 1) in
    let b = build (depth - 1) in
    let c = build (depth - 1) in
    let d = build (depth - 1) in
    Quad { a; b; c; d }

let rec is_full quad depth =
  match quad with
  | Empty -> depth < 0
  | Quad { a; b; c; d } ->
      depth >= 0
      && is_full a (depth - 1)
      && is_full b (depth - 1)
      && is_full c (depth - 1)
      && is_full d (depth - 1)

let check quad depth = if not (is_full quad depth) then Bench.damaged "the live tree is damaged"

let run () =
  let depth = Bench.parameter "depth" and factor = Bench.parameter "factor" in
  let big = build depth in
  let whippet_heap = nodes depth * 40 * factor / 100 in
  let trees = int_of_float (float whippet_heap /. 7.5) / (nodes small * 32) in
  Bench.start (rounds * (trees + 1));
  for _ = 1 to rounds do
    for _ = 1 to trees do
      ignore (Sys.opaque_identity (build small));
      Bench.end_step ()
    done;
    check big depth;
    Bench.end_step ()
  done;
  Bench.stop ();
  check big depth;
  let result = Fold.make () in
  let rec fold = function
    | Empty -> ()
    | Quad { a; b; c; d } ->
        let children = List.filter (( != ) Empty) [ a; b; c; d ] in
        Fold.add result (List.length children);
        List.iter fold children
  in
  fold big;
  result.hash
