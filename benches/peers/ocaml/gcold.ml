(* A heap of old trees, with the rate at which they are changed as a parameter. *)

open Trees

(* Levels of a tree. *)
let levels = 10

(* A full tree whose nodes hold their height. *)
let rec full levels =
  if levels = 1 then Node { left = Empty; right = Empty; value = levels }
  else
    let left = full (levels - 1) in
    let right = full (levels - 1) in
    Node { left; right; value = levels }

let rec is_full tree levels =
  match tree with
  | Empty -> levels = 0
  | Node { left; right; value } ->
      value = levels && is_full left (levels - 1) && is_full right (levels - 1)

(* Exchanges two subtrees of the same height. *)
let exchange table random =
  let depth = 1 + Random.below random (levels - 1) in
  let tree_a = table.(Random.below random (Array.length table)) in
  let path_a = Random.bits random in
  let tree_b = table.(Random.below random (Array.length table)) in
  let path_b = Random.bits random in
  let a = descend tree_a (depth - 1) path_a and b = descend tree_b (depth - 1) path_b in
  let right_a = is_right (path_a lsr (depth - 1)) and right_b = is_right (path_b lsr (depth - 1)) in
  let below_a = child a right_a and below_b = child b right_b in
  set_child a right_a below_b;
  set_child b right_b below_a

let run () =
  let trees = Bench.parameter "size" and steps = Bench.parameter "steps" in
  let dead = Bench.parameter "dead" and mutation = Bench.parameter "mutation" in
  let table = Array.init trees (fun _ -> full levels) in
  let random = Bench.random () in
  Bench.start steps;
  for _ = 1 to steps do
    for _ = 1 to dead do
      ignore (Sys.opaque_identity (full levels))
    done;
    let tree = full levels in
    table.(Random.below random trees) <- tree;
    for _ = 1 to mutation do
      exchange table random
    done;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () in
  Array.iteri
    (fun index tree ->
      if not (is_full tree levels) then Bench.damaged "tree %d is damaged" index;
      fold result tree)
    table;
  result.hash
