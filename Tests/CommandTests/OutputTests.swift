import Files
import Foundation
import TestSupport
import Testing

/// `--out` makes a file or replaces one, and touches nothing else.
@Suite(.serialized) struct OutputTests {
  /// The commands that take `--out`, without its value.
  static let commands = [
    ["sample", "--model", "data/tiny-sd", "--prompt", "x", "--steps", "2", "--out"],
    ["decode", "Tests/Fixtures/imaging/baseline-420.jpg", "--out"],
    ["export", "--model", "data/tiny-sd", "--lora", "LORA", "--to", "lora", "--out"],
    ["export", "--model", "data/tiny-sd", "--lora", "LORA", "--to", "webui", "--out"],
  ]

  private func run(_ command: [String], out: String, in folder: String) throws -> Outcome {
    let lora = "\(folder)/lora.safetensors"
    if !FileManager.default.fileExists(atPath: lora) { try writeLoRA(to: lora, up: 0.1) }
    return try Program(command.map { $0 == "LORA" ? lora : $0 } + [out]).outcome()
  }

  @Test("a FIFO stays a FIFO, and nobody waits for its reader", arguments: commands)
  func fifo(command: [String]) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/fifo"
      #expect(mkfifo(path, 0o600) == 0)
      let outcome = try run(command, out: path, in: folder)
      #expect(outcome.exitCode ?? 0 != 0, "\(outcome)")
      var status = stat()
      #expect(lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
    }
  }

  @Test("no input is written over or into, however the place is spelled", arguments: commands)
  func inputs(command: [String]) throws {
    try withTemporaryFolder { folder in
      let model = "\(folder)/model"
      try FileManager.default.copyItem(
        atPath: fixturePath("../../data/tiny-sd"), toPath: model)
      symlink(model, "\(folder)/link")
      let image = "\(folder)/image.png"
      try FileManager.default.copyItem(
        atPath: fixturePath("imaging/baseline-420.jpg"), toPath: image)
      let own = command.map { $0 == "data/tiny-sd" ? model : $0.hasSuffix(".jpg") ? image : $0 }
      var paths = ["\(model)/unet/new", "\(folder)/link/new", "\(folder)/./model/../model/new"]
      if command[0] == "decode" { paths = [image, "\(folder)/./image.png"] }
      if command[0] == "export" { paths.append("\(folder)/lora.safetensors") }
      for place in paths {
        expect(
          try run(own, out: place, in: folder), failsAs: .settings, naming: place,
          "cannot write there")
      }
    }
  }

  @Test("a workspace and the name of another format are refused", arguments: commands)
  func formats(command: [String]) throws {
    try withTemporaryFolder { folder in
      let workspace = "\(folder)/w"
      try FileManager.default.createDirectory(
        atPath: "\(workspace)/state", withIntermediateDirectories: true)
      try AtomicFile.replace("\(workspace)/lock", with: [])
      expect(
        try run(command, out: "\(workspace)/new", in: folder), failsAs: .settings,
        naming: "is inside the workspace")
      try AtomicFile.replace("\(folder)/file", with: [1])
      expect(
        try run(command, out: "\(folder)/file/new", in: folder), failsAs: .settings,
        naming: "is a file, not a folder")
      guard command[0] != "sample" else { return }
      for ending in ["json5", command[0] == "decode" ? "safetensors" : "png"] {
        let out = "\(folder)/notes.\(ending)"
        try AtomicFile.replace(out, with: Array("mine".utf8))
        expect(
          try run(command, out: out, in: folder), failsAs: .settings, naming: "ends in .\(ending)")
        #expect(try RegularFile(path: out).readAll() == Array("mine".utf8))
      }
      expectSuccess(try run(command, out: "\(folder)/version-1.5", in: folder))
    }
  }

  @Test("a device stays a device", arguments: commands)
  func device(command: [String]) throws {
    // As root, what goes wrong here would go wrong for the whole machine.
    guard getuid() != 0 else { return }
    try withTemporaryFolder { folder in
      let outcome = try run(command, out: "/dev/null", in: folder)
      #expect(outcome.exitCode ?? 0 != 0, "\(outcome)")
      var status = stat()
      #expect(lstat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    }
  }

  @Test("a folder, a place in no folder and an empty name are refused", arguments: commands)
  func paths(command: [String]) throws {
    try withTemporaryFolder { folder in
      for out in [folder, "\(folder)/none/x.png", ""] {
        let outcome = try run(command, out: out, in: folder)
        #expect(outcome.exitCode ?? 0 != 0, "\(out): \(outcome)")
        #expect(outcome.failures.count == 1, "\(outcome)")
      }
    }
  }

  @Test("a name that a temporary file could have is neither followed nor lost", arguments: commands)
  func temporaryNames(command: [String]) throws {
    try withTemporaryFolder { folder in
      let victim = "\(folder)/victim"
      try AtomicFile.replace(victim, with: Array("mine".utf8))
      let out = "\(folder)/out"
      // The names that the next thousand processes could foresee.
      let next = getpid()
      for number in next..<next + 1_000 {
        symlink(victim, "\(out).tmp.\(number)")
      }
      _ = try run(command, out: out, in: folder)
      #expect(try RegularFile(path: victim).readAll() == Array("mine".utf8))
    }
  }

  @Test(
    "a symbolic link to a file is replaced or followed; what it names is whole", arguments: commands
  )
  func link(command: [String]) throws {
    try withTemporaryFolder { folder in
      let target = "\(folder)/target"
      try AtomicFile.replace(target, with: Array("old".utf8))
      symlink(target, "\(folder)/link")
      let outcome = try run(command, out: "\(folder)/link", in: folder)
      let bytes = try RegularFile(path: "\(folder)/link").readAll()
      #expect(outcome.exitCode == 0 ? bytes.count > 3 : bytes == Array("old".utf8), "\(outcome)")
    }
  }

  @Test("what a command reads is not what it writes, however it is spelled")
  func ownInput() throws {
    try withTemporaryFolder { folder in
      let image = "\(folder)/a.jpg"
      try FileManager.default.copyItem(
        atPath: "\(repository)/Tests/Fixtures/imaging/baseline-420.jpg", toPath: image)
      let lora = "\(folder)/lora.safetensors"
      try writeLoRA(to: lora, up: 0.1)
      for (command, input) in [
        (["decode", image], image),
        (["export", "--model", "data/tiny-sd", "--lora", lora, "--to", "lora"], lora),
        (["sample", "--model", "data/tiny-sd", "--lora", lora, "--prompt", "x"], lora),
      ] {
        let before = try RegularFile(path: input).readAll()
        let draws = command[0] == "sample"
        let link = "\(folder)/link.\(draws ? "png" : "x")"
        try? FileManager.default.removeItem(atPath: link)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: input)
        // An image's name is looked at first.
        let spelled = [input, "\(folder)/./\(input.dropFirst(folder.count + 1))"]
        for out in (draws ? [] : spelled) + [link] {
          let outcome = try Program(command + ["--out", out]).outcome()
          #expect(outcome.exitCode ?? 0 != 0, "\(outcome)")
          #expect(outcome.errors.contains("it is the input file"), "\(outcome)")
          #expect(try RegularFile(path: input).readAll() == before)
        }
      }
    }
  }
}
