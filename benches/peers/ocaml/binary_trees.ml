(* Short-lived trees of growing depth beside one that lives. *)

(* The fields are mutable, or all leaves would be the same one: the compiler makes one constant of them. *)
type tree = Empty | Node of { mutable left : tree; mutable right : tree }

let least = 4

let rec build depth =
  if depth = 0 then Node { left = Empty; right = Empty }
  else
    let left = build (depth - 1) in
    let right = build (depth - 1) in
    Node { left; right }

let rec count = function Empty -> 0 | Node { left; right } -> 1 + count left + count right

let check tree depth =
  let nodes = count tree in
  if nodes <> (2 lsl depth) - 1 then Bench.damaged "a tree of depth %d has %d nodes" depth nodes

let run () =
  let deepest = Bench.parameter "depth" in
  let long_lived = build deepest in
  let depths = List.init ((deepest - least) / 2 + 1) (fun i -> least + (2 * i)) in
  (* As many trees of each depth as make the same number of nodes. *)
  let trees depth = 1 lsl (deepest - depth + least) in
  Bench.start (List.fold_left (fun sum depth -> sum + trees depth) 0 depths);
  List.iter
    (fun depth ->
      for _ = 1 to trees depth do
        check (build depth) depth;
        Bench.end_step ()
      done)
    depths;
  Bench.stop ();
  check long_lived deepest;
  let result = Fold.make () in
  let rec fold = function
    | Empty -> ()
    | Node { left; right } ->
        Fold.add result (List.length (List.filter (( != ) Empty) [ left; right ]));
        fold left;
        fold right
  in
  fold long_lived;
  result.hash
