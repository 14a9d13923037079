import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// The files of a folder that a stage reads, through links.
struct FolderInputTests {
  private let manager = FileManager.default

  private func withModel(_ body: (_ folder: String, _ model: String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let model = "\(folder)/snapshots/main"
      try manager.createDirectory(atPath: model + "/unet", withIntermediateDirectories: true)
      try AtomicFile.replace(model + "/unet/config.json", with: [1])
      try body(folder, model)
    }
  }

  private func link(_ path: String, to target: String) throws {
    try manager.createSymbolicLink(atPath: path, withDestinationPath: target)
  }

  private func names(_ model: String) throws -> [String] {
    try FileDigests().inputs(folder: model, as: "model").map(\.name)
  }

  @Test("linked files and folders are read, as in a download cache")
  func linked() throws {
    try withModel { folder, model throws in
      try manager.createDirectory(atPath: folder + "/blobs/vae", withIntermediateDirectories: true)
      for name in ["0123", "vae/weights"] {
        try AtomicFile.replace("\(folder)/blobs/\(name)", with: [2])
      }
      try link(model + "/unet/weights", to: "../../../blobs/0123")
      for name in ["vae", "vae_2"] { try link("\(model)/\(name)", to: "../../blobs/vae") }
      #expect(
        try names(model) == [
          "model/unet/config.json", "model/unet/weights", "model/vae/weights",
          "model/vae_2/weights",
        ])
      // The model itself by a link.
      try link(folder + "/latest", to: "snapshots/main")
      #expect(try names(folder + "/latest").count == 4)
    }
  }

  @Test(
    "a link to a folder that holds it is refused by name",
    arguments: [".", "..", "../..", "../../..", "/", "../unet"])
  func endless(target: String) throws {
    try withModel { _, model throws in
      try link(model + "/unet/again", to: target)
      let error = #expect(throws: PipelineError.self) { try names(model) }
      #expect(error?.kind == .input)
      #expect(
        error?.description.hasPrefix("\(model)/unet/again: is a link to /") == true,
        "\(error?.description ?? "")")
    }
  }

  @Test("two folders outside that lead to each other are refused")
  func circle() throws {
    try withModel { folder, model throws in
      for (name, other) in [("a", "b"), ("b", "a")] {
        try manager.createDirectory(
          atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        try link("\(folder)/\(name)/\(other)", to: "\(folder)/\(other)")
      }
      try link(model + "/vae", to: "\(folder)/a")
      let error = #expect(throws: PipelineError.self) { try names(model) }
      #expect(error?.description.hasPrefix("\(model)/vae/b/a: is a link to ") == true)
    }
  }
}
