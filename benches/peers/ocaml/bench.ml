(* What the workloads have in common: their parameters, the log of their steps, and the line of JSON at the end.

   A workload builds what lives, calls [start], [end_step] after each step, [stop], checks what it has, and returns the fold of it. What lies
   between [start] and [stop] is measured. *)

external now : unit -> (int[@untagged]) = "pagemark_now_tagged" "pagemark_now" [@@noalloc]

exception Damaged of string

let damaged format = Printf.ksprintf (fun text -> raise (Damaged text)) format

(* --NAME VALUE, for each name. The first --steps is the file for the log; a second one is a parameter that some workloads have. *)
let arguments : (string, string) Hashtbl.t = Hashtbl.create 16

let file = "file"

let rec read_arguments = function
  | name :: value :: rest when String.length name > 2 && String.sub name 0 2 = "--" ->
      let name = String.sub name 2 (String.length name - 2) in
      let name = if name = "steps" && not (Hashtbl.mem arguments file) then file else name in
      Hashtbl.replace arguments name value;
      read_arguments rest
  | [] -> ()
  | text :: _ -> failwith (Printf.sprintf "not understood: %s" text)

let parameter name =
  match Option.bind (Hashtbl.find_opt arguments name) int_of_string_opt with
  | Some value -> value
  | None -> failwith (Printf.sprintf "--%s NUMBER is missing" name)

(* The random numbers of the only thread. *)
let random () = Random.make ~seed:1L ~stream:0L

type log = (int, Bigarray.int_elt, Bigarray.c_layout) Bigarray.Array1.t

type state = {
  launched : int;
  mutable began : int;
  mutable elapsed : int;
  mutable user : float;
  mutable kernel : float;
  mutable ends : log;
  mutable steps : int;
}

let new_log size : log = Bigarray.Array1.create Bigarray.int Bigarray.c_layout size

let state =
  { launched = now (); began = 0; elapsed = 0; user = 0.; kernel = 0.; ends = new_log 0; steps = 0 }

(* At most [steps] steps will follow. *)
let start steps =
  state.ends <- new_log steps;
  (* Memory that was never written would be a page fault for each 512 steps. *)
  Bigarray.Array1.fill state.ends 0;
  let usage = Unix.times () in
  state.user <- usage.tms_utime;
  state.kernel <- usage.tms_stime;
  state.began <- now ()

let elapsed () = now () - state.began

let end_step () =
  state.ends.{state.steps} <- elapsed ();
  state.steps <- state.steps + 1

let stop () =
  state.elapsed <- elapsed ();
  let usage = Unix.times () in
  state.user <- usage.tms_utime -. state.user;
  state.kernel <- usage.tms_stime -. state.kernel

let write_steps file =
  let out = open_out_bin file in
  let word = Bytes.create 8 in
  let write number =
    Bytes.set_int64_le word 0 (Int64.of_int number);
    output_bytes out word
  in
  write state.steps;
  for step = 0 to state.steps - 1 do
    write state.ends.{step}
  done;
  close_out out

(* OCaml has no limit of the heap, but a ratio: the major collector works so fast that what is dead is at most [space_overhead] percent
   of what lives. *)
let set_limit () =
  let live = float (parameter "live") and limit = float (parameter "heap") in
  let overhead = max 1 (int_of_float ((limit /. live -. 1.) *. 100.)) in
  Gc.set { (Gc.get ()) with space_overhead = overhead }

let print_result workload check =
  let seconds nanoseconds = float nanoseconds /. 1e9 in
  Printf.printf
    {|{"peer":"ocaml","version":"%s","workload":"%s","setup_s":%.9f,"elapsed_s":%.9f,"check":"%Lu","cpu_user_s":%.6f,"cpu_kernel_s":%.6f,"pauses":null}|}
    Sys.ocaml_version workload
    (seconds (state.began - state.launched))
    (seconds state.elapsed) check state.user state.kernel;
  print_newline ()
