(* A big tree lives, small trees die, and every sixteenth replaces a subtree of the live one. *)

open Trees

(* Levels of a small tree. *)
let small = 11

let attach tree levels path subtree =
  set_child (descend tree (levels - 1) path) (is_right (path lsr (levels - 1))) subtree

let live_tree top =
  let tree = build top (-1) in
  for path = 0 to (1 lsl top) - 1 do
    attach tree top path (build small path)
  done;
  tree

let rec check tree levels value =
  match tree with
  | Empty -> if levels > 0 then Bench.damaged "the subtree of %d is not full" value
  | Node node ->
      if levels = 0 || node.value <> value then Bench.damaged "the subtree of %d is damaged" value;
      check node.left (levels - 1) value;
      check node.right (levels - 1) value

let rec check_top tree levels =
  match tree with
  | Empty -> Bench.damaged "the live tree is not full"
  | Node node when levels = 0 -> check tree small node.value
  | Node node ->
      check_top node.left (levels - 1);
      check_top node.right (levels - 1)

let run () =
  let top = Bench.parameter "levels" - small and trees = Bench.parameter "trees" in
  let live = live_tree top in
  let random = Bench.random () in
  Bench.start trees;
  for tree = 0 to trees - 1 do
    let path = Random.bits random in
    let subtree = build small tree in
    if tree mod 16 = 15 then attach live top path subtree;
    Bench.end_step ()
  done;
  Bench.stop ();
  check_top live top;
  let result = Fold.make () in
  fold result live;
  result.hash
