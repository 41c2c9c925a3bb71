mod consts; mod env; mod error; mod heap; mod prims; mod value; mod vm;
fn main(){}
