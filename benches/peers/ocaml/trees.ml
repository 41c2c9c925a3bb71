(* Trees of nodes with a value: what churn and gcold are made of. *)

type tree = Empty | Node of { mutable left : tree; mutable right : tree; value : int }

(* A full tree whose nodes hold [value]. *)
let rec build levels value =
  if levels = 1 then Node { left = Empty; right = Empty; value }
  else
    let left = build (levels - 1) value in
    let right = build (levels - 1) value in
    Node { left; right; value }

let child tree right =
  match tree with
  | Node node -> if right then node.right else node.left
  | Empty -> Bench.damaged "a tree ends too early"

let set_child tree right child =
  match tree with
  | Node node -> if right then node.right <- child else node.left <- child
  | Empty -> Bench.damaged "a tree ends too early"

let is_right path = path land 1 = 1

(* The node [levels] levels below [tree] to which the low bits of [path] lead, and the bits that are left. *)
let rec descend tree levels path =
  if levels = 0 then tree else descend (child tree (is_right path)) (levels - 1) (path lsr 1)

let rec fold into = function
  | Empty -> ()
  | Node node ->
      Fold.add into node.value;
      fold into node.left;
      fold into node.right
