import Diffusion
import Testing

/// kohya's names for SDXL against diffusers'.
@Suite struct LDMBlockNamesTests {
  @Test(
    "modules outside of attention are found by the names of Stability's own code",
    arguments: [
      ("input_blocks_0_0", "conv_in"), ("out_2", "conv_out"),
      ("input_blocks_1_0_in_layers_2", "down_blocks_0_resnets_0_conv1"),
      ("input_blocks_5_0_emb_layers_1", "down_blocks_1_resnets_1_time_emb_proj"),
      ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv"),
      ("input_blocks_4_0_skip_connection", "down_blocks_1_resnets_0_conv_shortcut"),
      ("middle_block_0_out_layers_3", "mid_block_resnets_0_conv2"),
      ("middle_block_2_in_layers_2", "mid_block_resnets_1_conv1"),
      ("output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
      ("output_blocks_2_1_conv", "up_blocks_0_upsamplers_0_conv"),
      ("output_blocks_8_0_out_layers_3", "up_blocks_2_resnets_2_conv2"),
      ("time_embed_0", "time_embedding_linear_1"), ("label_emb_0_2", "add_embedding_linear_2"),
      ("input_blocks_4_1_proj_in", "down_blocks_1_attentions_0_proj_in"),
      ("down_blocks_0_resnets_0_conv1", "down_blocks_0_resnets_0_conv1"),
    ])
  func names(ldm: String, diffusers: String) {
    #expect(LDMBlockNames.diffusers(ldm) == diffusers)
  }

  @Test(
    "every linear layer has a name in Stability's own code, so that no file mixes the two",
    arguments: [
      "down_blocks_0_resnets_1_time_emb_proj", "down_blocks_1_resnets_0_conv_shortcut",
      "mid_block_resnets_0_time_emb_proj", "mid_block_resnets_1_time_emb_proj",
      "up_blocks_2_resnets_2_time_emb_proj", "up_blocks_0_resnets_0_conv_shortcut",
      "time_embedding_linear_1", "time_embedding_linear_2", "add_embedding_linear_1",
      "add_embedding_linear_2", "down_blocks_1_attentions_1_proj_in",
      "mid_block_attentions_0_transformer_blocks_0_attn1_to_q",
      "up_blocks_1_attentions_2_transformer_blocks_1_ff_net_0_proj",
    ])
  func written(diffusers: String) {
    let ldm = LDMBlockNames.ldm(diffusers)
    #expect(!["down", "mid", "up"].contains { ldm.hasPrefix("\($0)_block") })
    #expect(ldm != diffusers && LDMBlockNames.diffusers(ldm) == diffusers)
  }
}
