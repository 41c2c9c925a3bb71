module pagemark/peers

go 1.24
