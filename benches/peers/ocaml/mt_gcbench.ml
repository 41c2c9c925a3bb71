(* GCBench with holes, in one thread; shape and parameters are Whippet's. *)

(* Two numbers of 32 bits are one word in the lab; here they are two. *)
type node = Empty | Node of { mutable left : node; mutable right : node; i : int; mutable j : int }

let least = 4
let nodes depth = (2 lsl depth) - 1

(* Lengths of dead objects in words, which are used in turn. *)
type holes = { lengths : int array; mutable next : int }

let new_holes () =
  let random = Random.make ~seed:256L ~stream:0L in
  let rec draw length = if Random.below random 100 < 15 then length else draw (length + 1) in
  { lengths = Array.init 256 (fun _ -> draw 0); next = 0 }

(* Allocates a dead object with room for references, or none where its length would be 0. *)
let dig holes =
  let length = holes.lengths.(holes.next land 255) in
  holes.next <- holes.next + 1;
  if length > 0 then ignore (Sys.opaque_identity (Array.make length Empty))

let new_node () = Node { left = Empty; right = Empty; i = 0; j = 0 }

(* Top-down: a node first, then what is below it. *)
let rec below holes depth top =
  match top with
  | Node node when depth > 0 ->
      dig holes;
      let left = new_node () in
      dig holes;
      let right = new_node () in
      node.left <- left;
      node.right <- right;
      node.j <- depth;
      below holes (depth - 1) left;
      below holes (depth - 1) right
  | _ -> ()

let populate holes depth =
  let top = new_node () in
  below holes depth top;
  top

let rec bottom_up holes depth =
  if depth = 0 then new_node ()
  else
    let left = bottom_up holes (depth - 1) in
    let right = bottom_up holes (depth - 1) in
    dig holes;
    Node { left; right; i = 0; j = depth }

let rec is_tree tree depth =
  match tree with
  | Empty -> depth < 0
  | Node { left; right; i; j } ->
      i = 0 && j = depth && is_tree left (depth - 1) && is_tree right (depth - 1)

let check tree depth = if not (is_tree tree depth) then Bench.damaged "a tree is damaged"

let run () =
  let deepest = Bench.parameter "depth" and numbers = Bench.parameter "numbers" in
  let holes = new_holes () in
  let long_lived = populate holes deepest in
  let array = Float.Array.make numbers 0. in
  for i = 0 to (numbers / 2) - 1 do
    Float.Array.set array i (1. /. float i)
  done;
  let depths = List.init ((deepest - least) / 2 + 1) (fun i -> least + (2 * i)) in
  let trees depth = 2 * nodes (deepest + 2) / nodes depth in
  Bench.start (List.fold_left (fun sum depth -> sum + (2 * trees depth)) 0 depths);
  List.iter
    (fun depth ->
      List.iter
        (fun make ->
          for _ = 1 to trees depth do
            check (make holes depth) depth;
            Bench.end_step ()
          done)
        [ populate; bottom_up ])
    depths;
  Bench.stop ();
  check long_lived deepest;
  let result = Fold.make () in
  let rec fold = function
    | Empty -> ()
    | Node { left; right; j; _ } ->
        Fold.add result j;
        fold left;
        fold right
  in
  fold long_lived;
  for i = 0 to (numbers / 2) - 1 do
    let number = Float.Array.get array i in
    if number <> 1. /. float i then Bench.damaged "the array is damaged";
    Fold.add64 result (Int64.bits_of_float number)
  done;
  result.hash
