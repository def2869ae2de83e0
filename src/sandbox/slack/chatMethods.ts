import { app } from './app.ts';
import { SlackError } from './errors.ts';
import type { Call, Method } from './method.ts';
import { botProfile } from './objects.ts';

const longestText = 40_000;
const mostBlocks = 50;

export const chatMethods: Record<string, Method> = {
  'chat.postMessage': {
    writes: true,
    scopes: ['chat:write'],
    run(call) {
      const { args, bearer, workspace, limits } = call;
      const { userId, scopes } = bearer.line;
      const channel = workspace.findChannel(args.required('channel'));
      const isMember = channel?.members.includes(userId) ?? false;
      if (!channel || (channel.isPrivate && !isMember)) throw new SlackError('channel_not_found');
      limits.admitMessage(workspace.team.id, channel.id);
      if (channel.isArchived) throw new SlackError('is_archived');
      if (!isMember && !scopes.includes('chat:write.public')) throw new SlackError('not_in_channel');
      const message = messageOf(call);
      const ts = workspace.post(channel, message);
      return { channel: channel.id, ts, message: { ...message, type: 'message', ts } };
    },
  },
};

function messageOf({ args, bearer, workspace }: Call): Record<string, unknown> {
  const text = args.text('text');
  const blocks = args.structure('blocks');
  const attachments = args.structure('attachments');
  if (blocks !== undefined && (!Array.isArray(blocks) || blocks.length > mostBlocks))
    throw new SlackError('invalid_blocks');
  if (text === undefined && !isFilled(blocks) && !isFilled(attachments)) throw new SlackError('no_text');
  if ((text ?? '').length > longestText) throw new SlackError('msg_too_long');
  const author = workspace.getUser(bearer.line.userId);
  const threadTs = args.text('thread_ts');
  return {
    user: author.id,
    ...(author.botId && { bot_id: author.botId, bot_profile: botProfile(author, workspace.team) }),
    app_id: app.id,
    team: workspace.team.id,
    text: text ?? '',
    ...(isFilled(blocks) && { blocks }),
    ...(isFilled(attachments) && { attachments }),
    ...(threadTs !== undefined && { thread_ts: threadTs }),
  };
}

const isFilled = (value: unknown): value is unknown[] => Array.isArray(value) && value.length > 0;
