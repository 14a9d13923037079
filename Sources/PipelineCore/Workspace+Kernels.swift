import Files

// Machine code of kernels: `state/kernels/0123456789abcdef/PROGRAM`, a folder for each device that
// a record names, and a file for each program, named by 64 digits.
extension Workspace {
  /// Returns the folder for the machine code of a device, given its name in records.
  public func kernelsPath(_ device: String) -> String {
    path("\(Self.kernelsFolder)/\(Self.folderName(device))")
  }

  private static func folderName(_ device: String) -> String {
    String(SHA256.hexDigest(of: Array(device.utf8)).prefix(16))
  }

  private static func isName(_ name: Substring, of digitCount: Int) -> Bool {
    name.utf8.count == digitCount
      && name.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }

  /// Removes what killed processes have left; others, running parts, may be writing now.
  func removeLeftoversOfKernels() throws {
    try Folders.removeLeftovers(in: path(Self.kernelsFolder), unchangedFor: 3_600) { target in
      let names = target.split(separator: "/")
      return names.count == 2 && Self.isName(names[0], of: 16) && Self.isName(names[1], of: 64)
    }
  }

  /// Returns machine code that no stage may need to continue or rebuild a result.
  func kernelsGarbage() throws -> [Garbage] {
    let folder = path(Self.kernelsFolder)
    let kept = try Folders.names(in: folder).filter { Self.isName($0[...], of: 16) }
    // If a record is unreadable, its device is unknown.
    guard !kept.isEmpty, let devices = try? recordedDevices() else { return [] }
    let used = Set(devices.map(Self.folderName))
    return try kept.filter { !used.contains($0) }.compactMap { name in
      let files = try Folders.names(in: "\(folder)/\(name)").filter { Self.isName($0[...], of: 64) }
        .map { "\(folder)/\(name)/\($0)" }
      guard !files.isEmpty else { return nil }
      return Garbage(
        "\(folder)/\(name): machine code that no stage was computed with",
        byteCount: files.reduce(0) { $0 + Folders.byteCount(of: $1) }
      ) {
        for file in files { try Folders.removeFile(file) }
        try Folders.removeIfEmpty("\(folder)/\(name)")
        try Folders.removeIfEmpty(folder)
      }
    }
  }

  /// The devices named by records and parts of any stage.
  private func recordedDevices() throws -> [String] {
    var devices: [String] = []
    for folder in [path("state"), path(Self.attemptsFolder)] {
      for name in try Folders.names(in: folder) where name.hasSuffix(".json") {
        let path = "\(folder)/\(name)"
        guard path != digestsPath, let record = try StageRecord.load(from: path) else { continue }
        devices += record.run.devices + (record.result?.run.devices ?? [])
      }
    }
    for stage in try Folders.names(in: path("parts")) {
      for name in try Folders.names(in: partsPath(stage)) where name.hasSuffix(PartName.ending) {
        let part = try PartFile(path: "\(partsPath(stage))/\(name)")
        devices += part.map { [$0.header.device] } ?? []
      }
    }
    return devices
  }
}
