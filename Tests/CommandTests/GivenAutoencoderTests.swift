import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// The setting `vae` and the option `--vae`.
@Suite(.serialized) struct GivenAutoencoderTests {
  /// A VAE whose decoder makes everything brighter, and whose latents differ a little.
  private func makeVAE(in folder: String) throws -> String {
    let model = try ModelVariant(in: folder, named: "with-vae")
    for name in ["decoder.conv_out.bias", "encoder.conv_out.bias"] {
      var tensor = try model.tensor("vae", name)
      for index in tensor.values.indices { tensor.values[index] += 0.25 }
      try model.replace("vae", [name: tensor])
    }
    return "\(model.path)/vae"
  }

  @Test("an image is decoded by the VAE that is given")
  func sample() throws {
    try withTemporaryFolder { folder in
      let vae = try makeVAE(in: folder)
      func image(_ name: String, _ arguments: String...) throws -> [UInt8] {
        let path = "\(folder)/\(name).png"
        expectSuccess(
          try Program(
            [
              "sample", "--model", "data/tiny-sd", "--prompt", "a red circle", "--steps", "2",
              "--out", path,
            ] + arguments
          ).outcome())
        return try RegularFile(path: path).readAll()
      }
      let own = try image("own")
      #expect(try image("same", "--vae", "data/tiny-sd/vae") == own)
      #expect(try image("other", "--vae", vae) != own)
      #expect(
        try image("file", "--vae", "\(vae)/diffusion_pytorch_model.safetensors")
          == image("folder", "--vae", vae))
      expect(
        try spo(
          "sample", "--model", "data/tiny-sd", "--prompt", "x", "--vae", "\(folder)/none", "--out",
          "\(folder)/none.png"), failsAs: .input, naming: "\(folder)/none")
    }
  }

  @Test("another VAE makes new latents, and the model's own finds the old ones again")
  func latents() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let vae = try makeVAE(in: folder)
      let before = try run.bytes("shards/index.json")
      #expect(try run.states()["encode"] == "done")
      #expect(try run.states("--set", "vae=\(vae)")["encode"] == "stale")
      expectSuccess(try run.run("--set", "vae=\(vae)", "--through", "shard"))
      #expect(try run.bytes("shards/index.json") != before)
      #expect(try run.states("--set", "vae=\(vae)")["encode"] == "done")
      expectSuccess(try run.run("--through", "shard"))
      #expect(try run.bytes("shards/index.json") == before)
      #expect(try run.states()["spo"] == "done")
    }
  }

  @Test(
    "doctor misses a VAE that is not there, and a VAE of other latents is refused before any work")
  func refusals() throws {
    try withTemporaryFolder { folder in
      expect(
        try SmallRun(in: folder).run("--set", "vae="), failsAs: .input,
        naming: "vae: no path is given")
      let missing = try spo("doctor", SmallRun.pipeline, "--set", "vae=\(folder)/none")
      #expect(missing.errors.contains("\(folder)/none"), "\(missing)")
      let other = try ModelVariant.withLatentChannels(16, in: folder)
      let run = SmallRun(in: folder)
      expect(
        try run.run("--set", "vae=\(other.path)/vae"), failsAs: .input,
        naming: "\(other.path)/vae/config.json", "latent_channels", "16", "in_channels")
      #expect(!FileManager.default.fileExists(atPath: run.path("catalog.sqlite")))
    }
  }
}
