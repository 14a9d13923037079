import CFileSystem

/// The kind of a file's file system: on a local disk, or shared with other machines.
///
/// Cluster file systems guarantee less: memory shared through a file, as SQLite's log needs it, is
/// shared on one machine at most, and the same may hold for locks.
public enum FileSystemKind: String, Sendable {
  case local
  case nfs = "NFS"
  case lustre = "Lustre"
  case gpfs = "GPFS"
  case fuse = "FUSE"
  case ceph = "CephFS"
  case beegfs = "BeeGFS"
  case smb = "SMB"

  /// Determines the kind for a path, or for the folder in which it would be created.
  public init(at path: String) {
    var path = path
    while true {
      let type = spo_file_system_type(path)
      guard type == 0, path != "/", path != "." else {
        self.init(type: type)
        return
      }
      path = OutputPath.folder(of: path)
    }
  }

  /// - Parameter type: Linux's number, `f_type` of `statfs`
  package init(type: UInt32) {
    self =
      switch type {
      case 0x6969: .nfs
      case 0x0bd0_0bd0: .lustre
      case 0x4750_4653: .gpfs
      case 0x6573_5546: .fuse
      case 0x00c3_6400: .ceph
      case 0x1983_0326: .beegfs
      case 0xff53_4d42, 0xfe53_4d42, 0x517b: .smb
      default: .local
      }
  }

  /// Whether other machines may access the same file.
  public var isShared: Bool { self != .local }
}
