import Foundation

/// A file of the user's cache folder about one subject: what takes a while to find, and can be found again.
///
/// One that is damaged, of another format or about something else counts as none; one that cannot be written is
/// done without.
public struct UserCacheFile: Sendable {
  /// Nil: nothing is kept.
  private let folder: String?
  private let kind: String
  private let format: Int
  private let subject: String

  /// - Parameters:
  ///   - kind: what it holds, with which its name begins
  ///   - subject: what its content holds for, in words
  public init(_ kind: String, format: Int, about subject: String, in folder: String?) {
    self.kind = kind
    self.format = format
    self.subject = subject
    self.folder = folder
  }

  /// The user's folder for what can be made again.
  public static var userFolder: String? {
    let environment = ProcessInfo.processInfo.environment
    // The specification has relative paths ignored.
    if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") { return "\(folder)/spo" }
    guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
    return "\(home)/.cache/spo"
  }

  private var path: String? {
    let name = SHA256.hexDigest(of: Array(subject.utf8)).prefix(16)
    return folder.map { "\($0)/\(kind)-\(name).json" }
  }

  /// What the file holds.
  public var content: JSONReader? {
    guard let path, let json = try? JSONReader(contentsOf: path),
      (try? json.int("format")) == format, (try? json.string("subject")) == subject
    else { return nil }
    return try? json["content"]
  }

  /// Replaces the file as a whole.
  public func keep(_ content: JSON) {
    guard let folder, let path else { return }
    let json: JSON = [
      "format": .integer(format), "subject": .string(subject), "content": content,
    ]
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try? AtomicFile.replace(path, with: Array((json.text(.pretty) + "\n").utf8))
  }
}
