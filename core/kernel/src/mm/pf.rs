//! pf
pub const PF_MEMALLOC: u32 = 0x800;
pub const PF_MEMALLOC_NOFS: u32 = 0x4_0000;
pub const PF_MEMALLOC_NOIO: u32 = 0x8_0000;
pub const SCOPES: u32 = PF_MEMALLOC | PF_MEMALLOC_NOFS | PF_MEMALLOC_NOIO;
pub fn names(_: u32) -> Vec<&'static str> {
    vec![]
}
